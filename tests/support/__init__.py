"""What tests of several parts share: real servers, real processes, a proxy between them."""
