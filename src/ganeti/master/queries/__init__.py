"""What list and info commands show: the fields of each kind of object, and what reads them for a query.

`engine.run` answers a list query, `engine.fields` tells the columns, `info.run` makes the data of `gnt-KIND info`,
`jobs.details` that of `gnt-job info`; `sources.Sources` is what they need to be given. One file for each kind of
object: a new column is one more line in it.
"""
