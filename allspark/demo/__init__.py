"""The demonstration: `python -m allspark.demo`. Every modality on the small files that ship with the package."""
