/* weir segment inspect|verify|cat FILE...: argv[0] is "segment". Returns the exit code: 0 good, 1 damaged,
 * 2 wrong use or no access. */
#ifndef WEIR_CMD_SEGMENT_H
#define WEIR_CMD_SEGMENT_H

int cmd_segment(int argc, char **argv);

#endif
