"""What the log's payloads mean: records, the image they fold into, and the controller's decisions. Pure."""
