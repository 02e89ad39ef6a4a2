"""What a document is: bodies, revisions, versions, blobs, deltas, conflicts. PURE."""
