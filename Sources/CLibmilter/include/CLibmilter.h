// The whole of libmilter as Swift sees it. No logic lives here: only what Swift cannot express itself.
#ifndef MAILWARDEN_CLIBMILTER_H
#define MAILWARDEN_CLIBMILTER_H

#include <libmilter/mfapi.h>

// Most lines that smfi_setmlreply() takes in one reply.
#define MLREPLY_LINES 32

// smfi_setmlreply() is variadic and ends at the first NULL; Swift cannot call such a function.
static inline int smfi_setmlreply_lines(SMFICTX *ctx, const char *code, const char *enhanced, char *const line[MLREPLY_LINES]) {
  return smfi_setmlreply(ctx, code, enhanced,
    line[0], line[1], line[2], line[3], line[4], line[5], line[6], line[7],
    line[8], line[9], line[10], line[11], line[12], line[13], line[14], line[15],
    line[16], line[17], line[18], line[19], line[20], line[21], line[22], line[23],
    line[24], line[25], line[26], line[27], line[28], line[29], line[30], line[31], (char *)0);
}

#endif
