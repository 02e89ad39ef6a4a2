"""What each published figure is measured with."""
