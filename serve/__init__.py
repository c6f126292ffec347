"""Ray Serve: plain deployment classes and one `build(config) -> Application`."""
