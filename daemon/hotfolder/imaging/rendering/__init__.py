"""From pixels to the files of thumbnails: scaling, and writing a picture in a format."""
