"""What tests share: real databases, real servers, real keys."""
