"""The index: patients, studies, series, instances, and where the bytes are."""
