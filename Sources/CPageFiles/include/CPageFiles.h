// The page's files, in the program itself.
#ifndef MAILWARDEN_PAGE_FILES_H
#define MAILWARDEN_PAGE_FILES_H

#include <stddef.h>

struct page_file {
  // What they are asked for by.
  const char *path;
  const char *type;
  const unsigned char *bytes;
  size_t size;
};

// The file with that number; NULL after the last.
const struct page_file *page_file(size_t number);

#endif
