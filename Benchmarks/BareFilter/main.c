/*
 * A milter that does nothing: the control in benchmarks. What it costs is what libmilter, the kernel and reading
 * the macros cost.
 *
 *   bare-filter SOCKET STEPS [-m STAGE "MACRO MACRO..."]...
 *
 * SOCKET in libmilter's notation; STEPS the SMFIP_ bits to negotiate, hexadecimal; STAGE a number (SMFIM_).
 * Ends on SIGTERM (within 5 s, libmilter's tick).
 */
#include <libmilter/mfapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STAGES = SMFIM_LAST + 1, NAMES = 64 };

struct session {
  size_t macro_bytes;
};

static unsigned long steps;
static const char *lists[STAGES];
static char *names[STAGES][NAMES + 1];

/* A filter that asks for macros reads them. */
static void read_macros(SMFICTX *context, int stage) {
  struct session *session = smfi_getpriv(context);
  for (char **name = names[stage]; *name; name++) {
    const char *value = smfi_getsymval(context, *name);
    if (session && value) session->macro_bytes += strlen(value);
  }
}

static sfsistat answer(unsigned long unanswered) { return steps & unanswered ? SMFIS_NOREPLY : SMFIS_CONTINUE; }

static sfsistat on_negotiate(SMFICTX *context, unsigned long actions_offered, unsigned long steps_offered,
                             unsigned long unused2, unsigned long unused3, unsigned long *actions_chosen,
                             unsigned long *steps_chosen, unsigned long *chosen2, unsigned long *chosen3) {
  (void)actions_offered, (void)steps_offered, (void)unused2, (void)unused3;
  *actions_chosen = 0;
  *steps_chosen = steps;
  *chosen2 = *chosen3 = 0;
  for (int stage = 0; stage < STAGES; stage++)
    if (lists[stage]) smfi_setsymlist(context, stage, (char *)lists[stage]);
  smfi_setpriv(context, calloc(1, sizeof(struct session)));
  return SMFIS_CONTINUE;
}

static sfsistat on_connect(SMFICTX *context, char *host, struct sockaddr *address) {
  (void)host, (void)address;
  read_macros(context, SMFIM_CONNECT);
  return answer(SMFIP_NR_CONN);
}

static sfsistat on_helo(SMFICTX *context, char *name) {
  (void)name;
  read_macros(context, SMFIM_HELO);
  return answer(SMFIP_NR_HELO);
}

static sfsistat on_mail(SMFICTX *context, char **arguments) {
  (void)arguments;
  read_macros(context, SMFIM_ENVFROM);
  return answer(SMFIP_NR_MAIL);
}

static sfsistat on_recipient(SMFICTX *context, char **arguments) {
  (void)arguments;
  read_macros(context, SMFIM_ENVRCPT);
  return answer(SMFIP_NR_RCPT);
}

static sfsistat on_data(SMFICTX *context) {
  read_macros(context, SMFIM_DATA);
  return answer(SMFIP_NR_DATA);
}

static sfsistat on_header(SMFICTX *context, char *name, char *value) {
  (void)context, (void)name, (void)value;
  return answer(SMFIP_NR_HDR);
}

static sfsistat on_end_of_headers(SMFICTX *context) {
  read_macros(context, SMFIM_EOH);
  return answer(SMFIP_NR_EOH);
}

static sfsistat on_body(SMFICTX *context, unsigned char *chunk, size_t length) {
  (void)context, (void)chunk, (void)length;
  return answer(SMFIP_NR_BODY);
}

static sfsistat on_end_of_message(SMFICTX *context) {
  read_macros(context, SMFIM_EOM);
  return SMFIS_CONTINUE;
}

static sfsistat on_unknown(SMFICTX *context, const char *command) {
  (void)context, (void)command;
  return answer(SMFIP_NR_UNKN);
}

static sfsistat on_abort(SMFICTX *context) {
  (void)context;
  return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *context) {
  free(smfi_getpriv(context));
  smfi_setpriv(context, NULL);
  return SMFIS_CONTINUE;
}

static int usage(void) {
  fputs("usage: bare-filter SOCKET STEPS [-m STAGE \"MACRO MACRO...\"]...\n", stderr);
  return 64;
}

/* Keeps the list for the negotiation and its names for reading; false where there are too many. */
static int set_macros(int stage, char *list) {
  lists[stage] = strdup(list);
  int count = 0;
  for (char *name = strtok(list, " ,\t"); name; name = strtok(NULL, " ,\t")) {
    if (count == NAMES) return 0;
    names[stage][count++] = name;
  }
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 3) return usage();
  char *end;
  steps = strtoul(argv[2], &end, 16);
  if (*end) return usage();
  for (int i = 3; i < argc; i += 3) {
    if (i + 2 >= argc || strcmp(argv[i], "-m") != 0) return usage();
    long stage = strtol(argv[i + 1], &end, 10);
    if (*end || stage < 0 || stage >= STAGES || !set_macros((int)stage, argv[i + 2])) return usage();
  }

  struct smfiDesc filter = {
    .xxfi_name = "bare",
    .xxfi_version = SMFI_VERSION,
    .xxfi_flags = 0,
    .xxfi_connect = on_connect,
    .xxfi_helo = on_helo,
    .xxfi_envfrom = on_mail,
    .xxfi_envrcpt = on_recipient,
    .xxfi_header = on_header,
    .xxfi_eoh = on_end_of_headers,
    .xxfi_body = on_body,
    .xxfi_eom = on_end_of_message,
    .xxfi_abort = on_abort,
    .xxfi_close = on_close,
    .xxfi_unknown = on_unknown,
    .xxfi_data = on_data,
    .xxfi_negotiate = on_negotiate,
  };
  if (smfi_register(filter) != MI_SUCCESS || smfi_setconn(argv[1]) != MI_SUCCESS ||
      smfi_opensocket(1) != MI_SUCCESS) {
    fprintf(stderr, "bare-filter: cannot open %s\n", argv[1]);
    return 1;
  }
  return smfi_main() == MI_SUCCESS ? 0 : 1;
}
