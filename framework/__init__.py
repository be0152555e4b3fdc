"""What is shipped to a Mosaic home (tools, stub agent, role contracts, presets), and its seeding."""
