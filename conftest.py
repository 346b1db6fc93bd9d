"""pytest runs every notebook of the course; how is written in tests/tools/notebook_runs.py."""

pytest_plugins = ["tests.tools.notebook_runs"]
