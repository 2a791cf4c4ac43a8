CLASSES = ["run", "jump", "walk"]
