"""The diagrams of the tables: regions, the table of all rows, and a barge-in as a sequence."""
