;; A record with an option and an enum goes to the callee, and another one comes back, through
;; the memories of both. On a cold path the callee calls the host.
(component
  (import "h" (func $h (param "x" u32) (result u32)))
  (component $A
    (import "h" (func $h (param "x" u32) (result u32)))
    (core func $host (canon lower (func $h)))
    (type $unit' (enum "piece" "dozen" "gross"))
    (export $unit "unit" (type $unit'))
    (type $order' (record (field "count" u32) (field "unit" $unit) (field "limit" (option u32))))
    (export $order "order" (type $order'))
    (core module $MA
      (import "" "h" (func $h (param i32) (result i32)))
      (memory (export "memory") 1)
      ;; Pieces, at most as many as the limit says, with no limit any more.
      (func (export "f")
        (param $count i32) (param $unit i32) (param $limited i32) (param $limit i32)
        (result i32)
        (local $pieces i32)
        (local.set $pieces
          (if (result i32) (i32.eq (local.get $count) (i32.const -1))
            (then (call $h (local.get $count)))
            (else (i32.mul (local.get $count)
              (select (i32.const 144) (select (i32.const 12) (i32.const 1) (local.get $unit))
                (i32.eq (local.get $unit) (i32.const 2)))))))
        (if (i32.and (local.get $limited) (i32.gt_u (local.get $pieces) (local.get $limit)))
          (then (local.set $pieces (local.get $limit))))
        (i32.store (i32.const 64) (local.get $pieces))
        (i32.store8 (i32.const 68) (i32.const 0))
        (i32.store8 (i32.const 72) (i32.const 0))
        (i32.const 64)))
    (core instance $m (instantiate $MA (with "" (instance (export "h" (func $host))))))
    (alias core export $m "memory" (core memory $memory))
    (func (export "f") (param "order" $order) (result $order)
      (canon lift (core func $m "f") (memory $memory))))
  (component $B
    (import "a" (instance $a
      (type $unit' (enum "piece" "dozen" "gross"))
      (export "unit" (type $unit (eq $unit')))
      (type $order' (record (field "count" u32) (field "unit" $unit) (field "limit" (option u32))))
      (export "order" (type $order (eq $order')))
      (export "f" (func (param "order" $order) (result $order)))))
    (core module $Memory (memory (export "memory") 1))
    (core instance $i (instantiate $Memory))
    (alias core export $i "memory" (core memory $memory))
    (core func $lowered (canon lower (func $a "f") (memory $memory)))
    (core module $MB
      (import "" "memory" (memory 1))
      (import "" "f" (func $f (param i32 i32 i32 i32 i32)))
      (func (export "run") (param $n i32) (result i32)
        (local $i i32) (local $acc i32)
        (loop $l
          (call $f (local.get $i) (i32.const 1) (i32.const 1) (i32.const 5000) (i32.const 128))
          (local.set $acc (i32.add (local.get $acc) (i32.load (i32.const 128))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
        (local.get $acc)))
    (core instance $m (instantiate $MB (with "" (instance
      (export "memory" (memory $memory)) (export "f" (func $lowered))))))
    (func (export "run") (param "n" u32) (result u32) (canon lift (core func $m "run"))))
  (instance $a (instantiate $A (with "h" (func $h))))
  (instance $b (instantiate $B (with "a" (instance $a))))
  (export "run" (func $b "run")))
