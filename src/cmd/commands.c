/* The commands of weir, in the order of --help. */
#include "cmd/commands.h"

const struct command_row command_rows[] = {
    {&server_command, cmd_server},
    {&agent_command, cmd_agent},
    {&pipeline_command, cmd_pipeline},
    {&ledger_command, cmd_ledger},
    {&dead_command, cmd_dead},
    {&ingest_command, cmd_ingest},
    {&search_command, cmd_search},
    {&grep_command, cmd_grep},
    {&patterns_command, cmd_patterns},
    {&status_command, cmd_status},
    {&check_command, cmd_check},
    {&config_command, cmd_config},
    {&produce_command, cmd_produce},
    {&web_command, cmd_web},
    {&segment_command, cmd_segment},
    {&queue_command, cmd_queue},
    {&catalog_command, cmd_catalog},
    {&aurora_command, cmd_aurora},
    {&completion_command, cmd_completion},
    {&man_command, cmd_man},
    {0},
};
