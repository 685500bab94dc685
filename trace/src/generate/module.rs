//! What all generators make.

use cranelift_codegen::ir::{
    AbiParam, ArgumentPurpose, ExtFuncData, ExternalName, FuncRef, Function, SigRef, Signature,
    UserExternalName, types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_memopt::Policy;
use memopt_policy::{DeclaredPolicy, PolicyError};

/// Functions that call each other, and what holds for the world around them.
#[derive(Clone)]
pub struct Module {
    /// The functions; the first one is run.
    pub functions: Vec<Function>,
    /// The clauses of the policy.
    pub clauses: Vec<String>,
}

impl Module {
    /// The policy that the clauses declare.
    ///
    /// # Errors
    ///
    /// The first clause that is none.
    pub fn policy(&self) -> Result<DeclaredPolicy, PolicyError> {
        self.clauses.join("\n").parse()
    }

    /// Is there memory that the world accesses at any time?
    pub fn has_asynchronous_memory(&self) -> bool {
        let policy = self.policy();
        policy.is_ok_and(|policy| policy.has_asynchronous_memory())
    }
}

/// The signature of all functions that can also run as machine code: the VM context,
/// two pointers, a number; and a number.
pub(super) fn signature() -> Signature {
    let mut signature = Signature::new(CallConv::Tail);
    let vmctx = AbiParam::special(types::I64, ArgumentPurpose::VMContext);
    signature.params = vec![vmctx, AbiParam::new(types::I64), AbiParam::new(types::I64)];
    signature.params.push(AbiParam::new(types::I64));
    signature.returns = vec![AbiParam::new(types::I64)];
    signature
}

/// Declares in `func` the function of this name, which is near.
pub(super) fn import(func: &mut Function, signature: SigRef, name: UserExternalName) -> FuncRef {
    let name = func.declare_imported_user_function(name);
    func.import_function(ExtFuncData {
        name: ExternalName::user(name),
        signature,
        colocated: true,
        patchable: false,
    })
}
