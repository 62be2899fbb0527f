package main

import (
	"bytes"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// lines is one connection to YAKt's line port with depth requests in flight. A reply ends with a line that starts with
// OK or ERR; nothing else of it is looked at.
type lines struct {
	conn  net.Conn
	make  func(count int) []byte
	depth int
}

// patience is how long a reply may take.
const patience = 10 * time.Second

func dialLines(kind, server, run, value string, conns, depth int, serial *atomic.Int64) ([]*lines, error) {
	request := func(count int) []byte {
		var out []byte
		for ; count > 0; count-- {
			out = fmt.Appendf(out, "CONFIG SET client-metrics/%s-%x metrics=%s\n", run[8:], serial.Add(1), value)
		}
		return out
	}
	if kind == "yakt-get" {
		request = func(count int) []byte { return bytes.Repeat([]byte("CONFIG GET client-metrics/bench\n"), count) }
	}
	var all []*lines
	for i := 0; i < conns; i++ {
		conn, err := net.DialTimeout("tcp", server, patience)
		if err != nil {
			return nil, err
		}
		all = append(all, &lines{conn, request, depth})
	}
	if kind == "yakt-get" {
		if _, err := fmt.Fprintf(all[0].conn, "CONFIG SET client-metrics/bench metrics=%s\n", value); err != nil {
			return nil, err
		}
		reply := make([]byte, 1024)
		if n, err := all[0].conn.Read(reply); err != nil || !bytes.HasPrefix(reply[:n], []byte("OK")) {
			return nil, fmt.Errorf("the value to read could not be written: %s %v", reply[:n], err)
		}
	}
	return all, nil
}

// run keeps depth requests in flight until stop; done hears how many replies were OK, how many ERR, and how long they took.
func (l *lines) run(stop *atomic.Bool, done func(took time.Duration, ok, failed int)) error {
	defer l.conn.Close()
	type sent struct {
		at    time.Time
		count int
	}
	waiting := []sent{{time.Now(), l.depth}}
	if _, err := l.conn.Write(l.make(l.depth)); err != nil {
		return err
	}
	buffer := make([]byte, 256*1024)
	atStart := true
	for !stop.Load() {
		l.conn.SetReadDeadline(time.Now().Add(patience))
		n, err := l.conn.Read(buffer)
		if err != nil {
			return err
		}
		ok, failed := 0, 0
		for data := buffer[:n]; len(data) > 0; {
			if atStart {
				switch data[0] {
				case 'O':
					ok++
				case 'E':
					failed++
				}
			}
			// A reply's last line that is cut short is counted a moment early; what is left of it is passed over.
			end := bytes.IndexByte(data, '\n')
			atStart = end >= 0
			if !atStart {
				break
			}
			data = data[end+1:]
		}
		now, again := time.Now(), ok+failed
		for left := again; left > 0; {
			if len(waiting) == 0 {
				return fmt.Errorf("more replies than requests")
			}
			part := min(left, waiting[0].count)
			good := min(part, ok)
			done(now.Sub(waiting[0].at), good, part-good)
			ok, left, waiting[0].count = ok-good, left-part, waiting[0].count-part
			if waiting[0].count == 0 {
				waiting = waiting[1:]
			}
		}
		if again > 0 {
			waiting = append(waiting, sent{time.Now(), again})
			if _, err := l.conn.Write(l.make(again)); err != nil {
				return err
			}
		}
	}
	return nil
}
