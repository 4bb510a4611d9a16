"""allspark: one model that reads ten kinds of geospatial data."""

__version__ = "0.1.0"
