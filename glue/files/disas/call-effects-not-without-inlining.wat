;;! target = "x86_64"
;;! test = "compile"
;;! flags = "-C inlining=n"

;; The same as call-effects.wat where functions are not visited callees first: both are
;; loaded again.
(module
  (global $g (mut i32) (i32.const 0))
  (global $h (mut i32) (i32.const 0))

  (func $callee
    (global.set $g (i32.const 1))
  )

  (func $f (export "f") (result i32 i32)
    (global.set $g (i32.const 41))
    (global.set $h (i32.const 42))
    (call $callee)
    (global.get $g)
    (global.get $h)
  )
)
;; wasm[0]::function[0]::callee:
;;       pushq   %rbp
;;       movq    %rsp, %rbp
;;       movl    $1, 0x30(%rdi)
;;       movq    %rbp, %rsp
;;       popq    %rbp
;;       retq
;;
;; wasm[0]::function[1]::f:
;;       pushq   %rbp
;;       movq    %rsp, %rbp
;;       movq    8(%rdi), %r10
;;       movq    0x18(%r10), %r10
;;       addq    $0x20, %r10
;;       cmpq    %rsp, %r10
;;       ja      0x71
;;   39: subq    $0x10, %rsp
;;       movq    %r12, (%rsp)
;;       movl    $0x29, 0x30(%rdi)
;;       movl    $0x2a, 0x40(%rdi)
;;       movq    %rdi, %r12
;;       movq    %r12, %rsi
;;       callq   0
;;       movl    0x30(%r12), %eax
;;       movl    0x40(%r12), %ecx
;;       movq    (%rsp), %r12
;;       addq    $0x10, %rsp
;;       movq    %rbp, %rsp
;;       popq    %rbp
;;       retq
;;   71: ud2
