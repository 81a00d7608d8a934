"""Components that come with sftframe. Found through entry points like any third party's."""
