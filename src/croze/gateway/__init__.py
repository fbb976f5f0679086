"""The bridge between a frontend and the solver."""
