// A closed loop of puts or linearizable gets against etcd or ZooKeeper, to be measured beside YAKt. Not part of the product.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
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
	kind := flag.String("kind", "etcd-put", "etcd-put, etcd-get, zk-create, zk-set or zk-sync-get")
	servers := flag.String("servers", "127.0.0.1:2379", "host:port of the leader")
	inFlight := flag.Int("in-flight", 1, "operations at a time")
	conns := flag.Int("conns", 16, "connections, at most as many as operations")
	seconds := flag.Float64("seconds", 3, "")
	warm := flag.Float64("warm", 1, "seconds not counted")
	flag.Parse()
	if *conns > *inFlight {
		*conns = *inFlight
	}
	value := strings.Repeat("x", 256)
	run := fmt.Sprintf("%x", time.Now().UnixNano())
	do, err := operations(*kind, strings.Split(*servers, ","), *conns, run, value)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var counting atomic.Bool
	var stop atomic.Bool
	var failed atomic.Int64
	var serial atomic.Int64
	latencies := make([][]time.Duration, *inFlight)
	var all sync.WaitGroup
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
	time.Sleep(time.Duration(*warm * float64(time.Second)))
	counting.Store(true)
	began, cpu := time.Now(), used()
	time.Sleep(time.Duration(*seconds * float64(time.Second)))
	counting.Store(false)
	took, cpuTook := time.Since(began).Seconds(), used()-cpu
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
	})
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
