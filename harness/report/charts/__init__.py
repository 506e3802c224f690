"""Charts: one a file, each a pure function of a setting; drawn by Altair and vl-convert as SVG, without a network."""
