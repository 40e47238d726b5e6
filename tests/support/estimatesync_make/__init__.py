"""Makes the blueprints that Make.com imports, checks them against the rules of the format, and runs them offline.

`make blueprints` writes `api/estimatesync_api/blueprints`; the tests play them with callbacks that were really
delivered.
Nothing that ships imports this package.
"""
