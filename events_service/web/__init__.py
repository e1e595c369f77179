"""What is answered over HTTP: feeds, pages and a small API. Only the composition root and tests import it."""
