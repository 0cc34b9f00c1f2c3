"""Our DICOMweb face (PS3.18): metadata, frames, pictures, documents, archives of what is stored.

find          one statement: which stored file, and may they see it
metadata      DICOM JSON of instances, a series at once, kept while nothing changes
frames        stored or plain frames, in parts or single
pictures      rendered frames and thumbnails
documents     encapsulated documents, videos, reports
archive       a study or series as one ZIP stream
"""
