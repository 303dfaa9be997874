"""Start the page; `python app.py` here, and what a Hugging Face Space runs. See `space/README.md`."""

from space import main

if __name__ == "__main__":
    main()
