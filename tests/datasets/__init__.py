"""The label stage: from published files to cells in the common form."""
