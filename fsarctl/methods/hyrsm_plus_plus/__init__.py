"""HyRSM++: HyRSM, whose frames are to change slowly."""
