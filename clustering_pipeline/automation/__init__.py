"""What keeps categories up to date: partitions, staleness, synchronisation, jobs, schedules and sensors."""
