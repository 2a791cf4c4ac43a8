"""The report: numbers of a project's results as one document, and the page that shows them."""
