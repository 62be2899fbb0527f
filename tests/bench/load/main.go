// A closed loop of writes or linearizable reads against YAKt, etcd or ZooKeeper: one program for all, so that none is
// measured with a better client. Not part of the product.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-zookeeper/zk"
	clientv3 "go.etcd.io/etcd/client/v3"
)

type operation func(client, serial int64) error

func main() {
	kind := flag.String("kind", "etcd-put", "yakt-set, yakt-get, etcd-put, etcd-get, zk-create, zk-set or zk-sync-get")
	servers := flag.String("servers", "127.0.0.1:2379", "host:port of the leader")
	inFlight := flag.Int("in-flight", 1, "operations at a time")
	conns := flag.Int("conns", 16, "connections; of etcd and ZooKeeper at most as many as operations")
	seconds := flag.Float64("seconds", 3, "")
	warm := flag.Float64("warm", 1, "seconds not counted")
	depth := flag.Int("depth", 1, "yakt: requests in flight on each connection, instead of -in-flight")
	pids := flag.String("pids", "", "of the servers, by comma: their CPU is measured over the same seconds")
	flag.Parse()
	if !strings.HasPrefix(*kind, "yakt") && *conns > *inFlight {
		*conns = *inFlight
	}
	value := strings.Repeat("x", 256)
	run := fmt.Sprintf("%x", time.Now().UnixNano())
	var counting, stop atomic.Bool
	var failed, serial atomic.Int64
	var all sync.WaitGroup
	var latencies [][]time.Duration
	if strings.HasPrefix(*kind, "yakt") {
		connections, err := dialLines(*kind, *servers, run, value, *conns, *depth, &serial)
		if err != nil {
			fail(err)
		}
		*inFlight = *conns * *depth
		latencies = make([][]time.Duration, len(connections))
		for worker, connection := range connections {
			all.Add(1)
			go func(worker int, connection *lines) {
				defer all.Done()
				err := connection.run(&stop, func(took time.Duration, ok, refused int) {
					failed.Add(int64(refused))
					for ; ok > 0 && counting.Load(); ok-- {
						latencies[worker] = append(latencies[worker], took)
					}
				})
				if err != nil {
					fail(err)
				}
			}(worker, connection)
		}
	} else {
		do, err := operations(*kind, strings.Split(*servers, ","), *conns, run, value)
		if err != nil {
			fail(err)
		}
		latencies = make([][]time.Duration, *inFlight)
		for worker := 0; worker < *inFlight; worker++ {
			all.Add(1)
			go func(worker int) {
				defer all.Done()
				for !stop.Load() {
					began := time.Now()
					err := do(int64(worker), serial.Add(1))
					took := time.Since(began)
					if err != nil {
						failed.Add(1)
					} else if counting.Load() {
						latencies[worker] = append(latencies[worker], took)
					}
				}
			}(worker)
		}
	}
	time.Sleep(time.Duration(*warm * float64(time.Second)))
	counting.Store(true)
	began, cpu, theirs, machine := time.Now(), used(), usedBy(*pids), busy()
	time.Sleep(time.Duration(*seconds * float64(time.Second)))
	counting.Store(false)
	took, cpuTook := time.Since(began).Seconds(), used()-cpu
	theirs, machine = usedBy(*pids)-theirs, busy()-machine
	stop.Store(true)
	all.Wait()
	var merged []time.Duration
	for _, some := range latencies {
		merged = append(merged, some...)
	}
	sort.Slice(merged, func(i, j int) bool { return merged[i] < merged[j] })
	at := func(share float64) float64 {
		if len(merged) == 0 {
			return 0
		}
		index := int(share * float64(len(merged)))
		if index >= len(merged) {
			index = len(merged) - 1
		}
		return float64(merged[index].Microseconds()) / 1000
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"kind": *kind, "in_flight": *inFlight, "per_second": float64(len(merged)) / took,
		"p50_ms": at(0.5), "p99_ms": at(0.99), "p999_ms": at(0.999), "errors": failed.Load(), "cpu": cpuTook / took,
		"servers_cpu": theirs / took, "others_cpu": (machine - theirs - cpuTook) / took,
	})
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// ticks is how many of the kernel's units of CPU time make a second: USER_HZ, the same on every Linux Go runs on.
const ticks = 100

// usedBy is the CPU time of processes, by comma, with all their threads, in seconds.
func usedBy(pids string) float64 {
	total := 0.0
	for _, pid := range strings.Split(pids, ",") {
		data, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
		for _, field := range fields[11:13] {
			count, _ := strconv.ParseFloat(field, 64)
			total += count / ticks
		}
	}
	return total
}

// busy is what the machine's cores have not been idle so far, in seconds.
func busy() float64 {
	data, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(data), "\n")
	total := 0.0
	for i, field := range strings.Fields(line)[1:] {
		if i < 8 && i != 3 && i != 4 { // idle, waiting for a disk; from the ninth on they are counted in others already
			count, _ := strconv.ParseFloat(field, 64)
			total += count / ticks
		}
	}
	return total
}

func used() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func operations(kind string, servers []string, conns int, run, value string) (operation, error) {
	ctx := context.Background()
	if strings.HasPrefix(kind, "etcd") {
		var clients []*clientv3.Client
		for i := 0; i < conns; i++ {
			client, err := clientv3.New(clientv3.Config{Endpoints: servers, DialTimeout: 5 * time.Second})
			if err != nil {
				return nil, err
			}
			clients = append(clients, client)
		}
		if kind == "etcd-get" {
			if _, err := clients[0].Put(ctx, "bench", value); err != nil {
				return nil, err
			}
			return func(worker, _ int64) error {
				_, err := clients[worker%int64(conns)].Get(ctx, "bench")
				return err
			}, nil
		}
		return func(worker, serial int64) error {
			_, err := clients[worker%int64(conns)].Put(ctx, fmt.Sprintf("%s-%x", run[8:], serial), value)
			return err
		}, nil
	}
	var sessions []*zk.Conn
	for i := 0; i < conns; i++ {
		session, _, err := zk.Connect(servers, 20*time.Second, zk.WithLogInfo(false))
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, session)
	}
	acl := zk.WorldACL(zk.PermAll)
	root := "/bench-" + run
	if _, err := sessions[0].Create(root, nil, 0, acl); err != nil {
		return nil, err
	}
	for parent := 0; parent < 256; parent++ {
		if _, err := sessions[0].Create(fmt.Sprintf("%s/%x", root, parent), []byte(value), 0, acl); err != nil {
			return nil, err
		}
	}
	return func(worker, serial int64) error {
		session := sessions[worker%int64(conns)]
		switch kind {
		case "zk-create":
			_, err := session.Create(fmt.Sprintf("%s/%x/%x", root, serial%256, serial), []byte(value), 0, acl)
			return err
		case "zk-set":
			_, err := session.Set(fmt.Sprintf("%s/%x", root, serial%256), []byte(value), -1)
			return err
		case "zk-sync-get":
			if _, err := session.Sync(root); err != nil {
				return err
			}
			_, _, err := session.Get(fmt.Sprintf("%s/%x", root, serial%256))
			return err
		default:
			return fmt.Errorf("no such kind: %s", kind)
		}
	}, nil
}
