"""The run record and the folder it lies in."""
