"""What is shipped to a Mosaic home: tools, the stub agent, role contracts, presets, and the seeding of them."""
