"""The paper's ablations as data: one TOML file each, in the form of an [ablate.NAME] table."""
