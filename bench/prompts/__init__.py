"""The bundled prompt sets: one CSV and one TOML datasheet each; ``bench.prompt_sets`` reads them."""
