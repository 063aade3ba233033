#include "common/server/core/server_config.h"

#include "common/wire/protocol.h"

struct server_config
server_config_default(void)
{
	return (struct server_config){
		.session_limit = PROTOCOL_SESSIONS_DEFAULT,
		.segment_limit = PROTOCOL_SEGMENT_DEFAULT,
		.total_limit = PROTOCOL_SEGMENTS_DEFAULT,
		.memory_limit = PROTOCOL_MEMORY_DEFAULT,
	};
}
