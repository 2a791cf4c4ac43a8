"""TRX: a query rebuilt from the ordered pairs and triples of a class's frames."""
