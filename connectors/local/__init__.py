"""The surface that needs no server: rooms in one durable file, reached through the bot's own socket."""
