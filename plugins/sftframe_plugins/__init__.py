"""The components that come with sftframe. They are found through entry points, like those of other plugins."""
