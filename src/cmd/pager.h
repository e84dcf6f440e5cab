/* A pager between standard output and the terminal: $PAGER, else less -RFX, which goes by itself
 * where one screen is enough. */
#ifndef WEIR_CMD_PAGER_H
#define WEIR_CMD_PAGER_H

/* Does nothing where standard output is no terminal, $PAGER is empty or cat, or there is none. What
 * the terminal can do is asked before: terminal_colours and terminal_is_stdout remember. */
void pager_start(void);
/* Waits until the reader has finished. */
void pager_finish(void);

#endif
