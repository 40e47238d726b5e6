"""The HTTP API that Make.com calls: it stores an EstimateSync, answers at once, and shows what became of it."""
