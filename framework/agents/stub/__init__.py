"""The parts of `stub-agent`, the agent program without a model. Standard library only."""
