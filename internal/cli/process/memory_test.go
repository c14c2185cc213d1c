package process

import (
	"testing"
	"testing/fstest"
)

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	const v2, v1 = "0::/shop.slice/a.scope\n", "5:cpu,cpuacct:/x\n4:memory:/docker/7\n0::/\n"
	for _, c := range []struct {
		name   string
		groups string
		files  map[string]string
		want   int64 // 0 for none
	}{
		{"its own", v2, map[string]string{"sys/fs/cgroup/shop.slice/a.scope/memory.max": "1000\n"}, 900},
		{"the one above", v2, map[string]string{"sys/fs/cgroup/shop.slice/a.scope/memory.max": "max\n", "sys/fs/cgroup/shop.slice/memory.max": "2000\n"}, 1800},
		{"the tighter one", v2, map[string]string{"sys/fs/cgroup/shop.slice/a.scope/memory.max": "3000\n", "sys/fs/cgroup/shop.slice/memory.max": "2000\n"}, 1800},
		{"of the container's own view", "0::/\n", map[string]string{"sys/fs/cgroup/memory.max": "1000"}, 900},
		{"version 1", v1, map[string]string{"sys/fs/cgroup/memory/docker/7/memory.limit_in_bytes": "1000\n"}, 900},
		{"version 1, of the host's path", v1, map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "1000\n"}, 900},
		{"version 1, none", v1, map[string]string{"sys/fs/cgroup/memory/docker/7/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		{"none", v2, map[string]string{"sys/fs/cgroup/shop.slice/a.scope/memory.max": "max\n"}, 0},
		{"nothing mounted", v2, nil, 0},
		{"nonsense", "x\n0::/../..\n", map[string]string{"sys/fs/cgroup/memory.max": "-1"}, 0},
		{"no groups at all", "", nil, 0},
	} {
		root := fstest.MapFS{}
		if c.groups != "" {
			root["proc/self/cgroup"] = &fstest.MapFile{Data: []byte(c.groups)}
		}
		for name, text := range c.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got, ok := memoryLimit(root); got != c.want || ok != (c.want > 0) {
			t.Errorf("%s: %d, %t; want %d", c.name, got, ok, c.want)
		}
	}
}
