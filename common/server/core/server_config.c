#include "common/server/core/server_config.h"

#include "common/base/size.h"

struct server_config
server_config_default(void)
{
	return (struct server_config){
		.session_limit = 1024,
		.segment_limit = UINT64_C(256) * SIZE_MIB,
		.total_limit = UINT64_C(1024) * SIZE_MIB,
	};
}
