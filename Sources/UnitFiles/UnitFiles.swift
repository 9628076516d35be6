// Door of UnitFiles.
