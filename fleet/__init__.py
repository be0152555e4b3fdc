"""The fleet domain: a library by itself. It knows agents, hosts and messages, and no chat protocol."""
