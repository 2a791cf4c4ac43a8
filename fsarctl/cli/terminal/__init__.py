"""How the command line talks: lines, bars, tables, files, and the editor."""
