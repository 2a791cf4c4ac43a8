"""ProtoNet: a query against the mean of a class, on a trained backbone."""
