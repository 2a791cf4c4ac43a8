"""Settings: the tables of fsarctl.toml, and where each value comes from."""
